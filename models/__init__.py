"""Everything that needs torch alone: classifiers, attribution methods, training objectives."""
