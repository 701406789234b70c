"""What the figures of a store mean: one concern per file, plain functions over a ReadingStore."""
