"""The paths of a drop: directly to the logits, or by way of later layers."""
