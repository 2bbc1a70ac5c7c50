"""Pictures through codecs and metrics: VMAF, and round trips for training and tests."""
