"""What ``mlhw finetune`` is made of: networks, images, features, training, checkpoints.

=====================  ==========================================================================
``backbones``          a pre-trained network by name, without its old classifier
``preprocessing``      what a network was trained to see, and images in that form
``datasets``           images and labels by name, split into train, val and test
=====================  ==========================================================================
"""
