"""What a bundle reports of itself: figures, pictures, the page."""
