"""What it costs and how well it does, one command each, side by side with what people would use instead."""
