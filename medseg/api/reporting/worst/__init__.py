"""The worst patients of a page: by which mean they are the worst, and slices to look through."""
