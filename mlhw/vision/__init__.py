"""What ``mlhw finetune`` is made of: networks, images, features, training, checkpoints.

Networks: ``backbones`` gives one by name, without its old classifier. It is built by ``networks``
(``cifar_resnet``, ``efficientnet_lite``) or ``libraries`` (torchvision, timm), its weights are found
by ``published`` and read by ``weights``, ``preprocessing`` is what it was trained to see, ``stages``
divides it for unfreezing.

Images: ``datasets`` gives them by name, as ``image_sets``. They come from ``folders`` (CSV files too,
read by ``file_images`` and ``images``) or ``archives`` (CIFAR, MNIST; ``download``), and are divided
by ``splits``.

Training: ``session`` runs one fine-tuning from its configuration to its numbers; ``training`` is the
loop, ``features`` the stored outputs of a frozen backbone, ``checkpoints`` what is kept on disk.
"""
