"""A page for people, from documents of evidence and attacks; asks no model anything.

gather       the documents, from folders and files
grouping     which of them may stand side by side
labels       what a profile is called
text         words and numbers as they are shown
plots/       drawings, as inline SVG
sections     what stands on the page, in its order
page         the page, from a template
table        the same in brief, as Markdown
command      the parts together, as `lethe report` runs them
"""
