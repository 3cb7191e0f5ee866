"""From labels and audio to what a network shall say."""
