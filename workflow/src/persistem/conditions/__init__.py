"""What a micrograph says of its own conditions, without being told: dose, detector, defocus, astigmatism."""
