"""What files of weights say of themselves: names, shapes, places, metadata; without torch."""
