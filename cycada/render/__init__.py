"""Tables, figures and pictures for reports and studies."""
