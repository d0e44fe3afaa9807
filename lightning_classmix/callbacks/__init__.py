"""What watches a training, or takes what a trained network says."""
