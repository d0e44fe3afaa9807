"""Use a trained module: predict images, and export the network."""
