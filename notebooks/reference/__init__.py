"""The documentation site: ``make docs`` builds it into ``site/`` from the root's pages, notebooks and docstrings."""
