"""Colours for classes that have none of their own."""


def default_palette(num_classes: int) -> list[tuple[int, int, int]]:
    """Return colours that are easily told apart, for classes that have none.

    Args:
        num_classes: Number of classes, C, at most 255.

    Returns:
        RGB in [0, 255]; the first is black.

    Example:
        >>> default_palette(3)
        [(0, 0, 0), (128, 0, 0), (0, 128, 0)]

    Source:
        The colour map of Pascal VOC's development kit: the bits of the class, dealt
        out to the three channels from the highest bit down.
    """
    palette = []
    for label in range(num_classes):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (label >> (3 * bit + channel) & 1) << (7 - bit)
        palette.append((channels[0], channels[1], channels[2]))
    return palette
