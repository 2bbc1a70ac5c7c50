"""The lines of the ParagonSR family, one file each: a network's sizes, its tensors, how to recognise it."""
