"""Tables, figures and images for reports and studies."""
