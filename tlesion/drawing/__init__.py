"""Styles, bands and axes that figures share."""
