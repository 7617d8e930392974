"""Two runs side by side: the last two nights, or two models on the same images."""
