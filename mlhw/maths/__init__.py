"""The mathematics that the experiments share: arrays in, arrays out, no files, no globals."""
