"""What several tests share: tiny experiments, drawn scenes, synthetic runs, a killer and a browser."""
