"""What label files mean: raw values, label maps, class names and colors."""
