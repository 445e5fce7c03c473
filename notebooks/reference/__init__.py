"""The documentation site: ``make docs`` builds it into ``site/`` from the README, the notebooks and the docstrings."""
