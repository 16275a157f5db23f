"""The real-or-fake study with people, as in CycleGAN (Zhu et al. 2017, section 5.1.1).

Build a page, serve it on this machine, and score the answers.
"""
