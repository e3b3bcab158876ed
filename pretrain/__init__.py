"""PictoCLIP's recipe: from public icon sets to the weights that ship with the package."""
