"""Dose and response: how much of a layer has to be cut."""
