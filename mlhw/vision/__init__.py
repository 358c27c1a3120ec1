"""What ``mlhw finetune`` and ``mlhw predict`` are made of.

=================  ==============================================================================
``names``          the names of networks, data sets and methods, which all of the others read
``schedules``      learning rates and frozen layers by step and epoch
``networks/``      pre-trained networks by name, their weights, and the new head
``assessment``     how good a classifier is: precision, recall, intervals, calibration
``images/``        data sets by name, their files read and checked, split, and changed at random
``figures``        of an assessment: confusion, reliability, coverage, the worst images
``config``         the configuration of ``mlhw finetune``
``training/``      ``session`` runs one fine-tuning; ``preparation`` reads and checks everything,
                   ``loop`` trains, ``checkpoints`` keeps it on disk
``programs``       a network as ONNX or as an archive of torch.export, written and read
``gradcam``        which pixels speak for a class
``gallery``        the images that were judged, small, for a page
``saved``          a saved network, read back with its preprocessing, classes and temperature
``export``         it as a file for other programs, checked
``predict``        it on image files
``evaluate``       it on labelled images
=================  ==============================================================================

A module imports from its own row and from rows above it.
"""

from mlhw.system.waiting import wait_calmly

# Here: every module of this package that imports torch is imported after this.
wait_calmly()
