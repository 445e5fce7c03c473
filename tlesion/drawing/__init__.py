"""What figures share, whatever study they are of. Plotly is imported here and in files named ``figures.py`` only.

- ``style.py``: the palette, one template, and `finish`, the last step of every figure.
- ``bands.py``: lines with the range of their controls, or with the spread over prompts, behind them.
- ``axes.py``: axes over layers, colour scales and colour bars.
- ``targets.py``: what targets and masks are called, and their colours.
- ``embed.py``: figures as a web page needs them.
"""
