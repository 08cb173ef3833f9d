"""HP-GAN human motion prediction: data, models, losses, metrics and a trainable population."""
