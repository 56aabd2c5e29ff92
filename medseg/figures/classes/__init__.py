"""Figures of images with classes."""
