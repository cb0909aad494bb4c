//! Segmentations of a series: covering, and F1 of change points (van den Burg and Williams, 2020).
