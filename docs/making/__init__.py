"""The site: MkDocs' hooks, and the pages that are made from code."""
