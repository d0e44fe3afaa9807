"""From files to samples, without Lightning's modules."""
