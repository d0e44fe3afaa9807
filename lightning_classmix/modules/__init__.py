"""The LightningModules: Supervised and ClassMix."""
