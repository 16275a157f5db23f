"""The real-vs-fake study: build a page, serve it on loopback, score the answers. CycleGAN (Zhu et al. 2017), section 5.1.1."""
