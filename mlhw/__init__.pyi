"""The types of mlhw's functions. Written by docs/generate.py from the models."""

import os
from collections.abc import Collection, Mapping
from typing import Any, Literal

from mlhw.result.claims import Claim as Claim
from mlhw.result.observations import Observation as Observation
from mlhw.result.result import Result as Result
from mlhw.vision.images.datasets import from_dataset as image_splits

__version__: str

def run(experiment: str, **keys: Any) -> Result:
    """Run an experiment by its name on the command line, ``"lr-sweep"``.

    Parameters
    ----------
    experiment
        Its name on the command line.
    **keys
        The keys of its configuration, and objects that no file can hold, such as ``splits`` for
        ``finetune``; what is left out has its default.

    Raises
    ------
    mlhw.errors.ConfigError
        There is no such experiment, or a key or a value is wrong; one line for each.
    mlhw.errors.DataError
        The data cannot be used.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
def softmax_regions(
    *,
    seed: int | Literal["random"] = ...,
    weights: Collection[Collection[float]] = ...,
    biases: Collection[float] = ...,
    names: Collection[str] | None = ...,
    fit: Mapping[str, Any] | str = ...,
    window: Collection[float] | None = ...,
) -> Result:
    """Where in the plane does a linear softmax choose which class, and how surely? The point where all classes meet, the boundaries between two of them, and the middle of each region, far out.

    Parameters
    ----------
    seed : default 0
        seed of every random draw; 'random' draws one, recorded
    weights : default [[3.0, 1.0], [1.0, 3.0], [-3.0, 1.5]]
        a row w1, w2 for each class
    biases : default [1.0, 2.0, 2.0]
        a bias for each class
    names : default None
        a name for each class; null: their numbers
    fit : mapping, see below
        take the weights from data: iris, wine or a file (text, CSV, ARFF, NPZ …)
        ``fit.name`` (default None): built-in set: gaussians, iris, wine, breast-cancer
        ``fit.file`` (default None): or a file: text, CSV, ARFF, svmlight, NPZ or NPY; '-' is the standard input
        ``fit.label`` (default None): the class's column, by name or by number from 0; null: label, else the last
        ``fit.classes`` (default None): keep only these classes
        ``fit.features`` (default None): keep only these features, by name or by number from 0
        ``fit.drop`` (default None): leave these features out, by name or by number from 0
        ``fit.missing`` (default 'fail'): missing values: fail names their lines, drop leaves the rows out
        ``fit.encode`` (default 'none'): words as numbers: yes-no makes 0 and 1 of no and yes, false and true; one-hot also a column sex=male for each other word
        ``fit.encoding`` (default None): of a text: cp1252, latin-1, …; null: UTF-8, or as its first bytes say
        ``fit.header`` (default None): whether the first line names the columns; null: find out
        ``fit.digest`` (default None): sha256 of the points, recorded by a run; a rerun warns if it differs
    window : default None
        the part of the plane to show; null: all vertices, or all points

    Returns
    -------
    Result
        ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.

    Raises
    ------
    mlhw.errors.ConfigError, mlhw.errors.DataError
        A key, a value or the data cannot be used; one line for each error.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
def backprop_check(
    *,
    adapter: str | os.PathLike[str] | None = ...,
    orientation: Literal["out-in", "in-out"] = ...,
    samples: Literal["rows", "columns"] | None = ...,
    reduction: Literal["mean", "sum"] = ...,
    returns: Literal["list", "flat", "dict", "loss-and-grads"] | None = ...,
    targets: Literal["auto", "one-hot", "labels", "bits"] = ...,
    loading: Literal["auto", "whole", "definitions"] = ...,
    time_limit: float = ...,
    import_limit: float = ...,
    isolation: Literal["auto", "bubblewrap", "namespaces", "landlock", "uid", "limits"] = ...,
    seed: int | Literal["random"] = ...,
    layers: Collection[int] = ...,
    hidden: str | Collection[str] = ...,
    output: Literal["logistic", "tanh", "relu", "leaky_relu", "softplus", "gelu", "identity", "softmax"] = ...,
    loss: Literal["half_squared_error", "binary_cross_entropy", "cross_entropy"] = ...,
    bias: bool | Literal["none", "first", "last", "separate"] = ...,
    batch: int = ...,
    trials: int = ...,
    max_width: int = ...,
    implementation: Collection[str] = ...,
) -> Result:
    """Is a derivation of back-propagation right? Every derivative of a network by hand-written back-propagation, against torch's autograd, the complex step and finite differences; and somebody's own implementation against it, with the likely mistake named.

    Parameters
    ----------
    adapter : default None
        how a class's functions are called: a file with adapt(module, weights, x, t) that returns the gradients, or a preset: nielsen, cs231n, coursera, deeplearning-ai, forward-backward
    orientation : default 'out-in'
        a weight matrix is (outputs, inputs) or (inputs, outputs)
    samples : default None
        samples are rows, x is (N, n), or columns, (n, N); with neither, a single x is (n,) and several are rows
    reduction : default 'mean'
        the loss of a batch is the mean or the sum of its samples'
    returns : default None
        the form that has to be returned; with none, any that is clear
    targets : default 'auto'
        how an implementation gets t, with a cross-entropy: one-hot, class labels (integers from 0), or bits of their own; auto: one-hot with softmax, else bits
    loading : default 'auto'
        run a file whole, or its definitions alone (imports, functions, classes, constants); auto: whole, and from what fails on its definitions
    time_limit : default 5.0
        seconds that a file's answers may take
    import_limit : default 5.0
        seconds that loading a file may take
    isolation : default 'auto'
        what keeps submissions apart from all else: auto takes the strongest that a trial proves on this machine, another than is to be had is an error
    seed : default 0
        seed of every random draw; 'random' draws one, recorded
    layers : default [3, 2, 2, 1]
        layer sizes, from the input to the output
    hidden : default 'logistic'
        hidden activation, or one a layer: logistic, tanh, relu, leaky_relu, softplus, gelu, identity
    output : default 'identity'
        activation of the output layer
    loss : default 'half_squared_error'
        loss; the cross-entropies need logistic and softmax outputs
    bias : default False
        biases, the last column of every weight matrix; for submissions also the first, or separate, as a list behind that of the weights
    batch : default 1
        inputs; of more than one, E is their mean loss
    trials : default 100
        random networks checked beside this one
    max_width : default 16
        largest width of a random network's layers
    implementation : default []
        file, or folder of files, to be checked; the function is 'backprop'

    Returns
    -------
    Result
        ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.

    Raises
    ------
    mlhw.errors.ConfigError, mlhw.errors.DataError
        A key, a value or the data cannot be used; one line for each error.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
def vanishing(
    *,
    seed: int | Literal["random"] = ...,
    activation: Literal["sigmoid", "relu", "tanh", "gelu", "leaky_relu", "softplus"] | None = ...,
    depth: int = ...,
    shallow_depth: int | None = ...,
    width: int | None = ...,
    residual: bool = ...,
    weights: Literal["normal", "uniform", "constant", "xavier", "he"] = ...,
    scale: float = ...,
    bias_scale: float = ...,
    output: Literal["identity", "sigmoid"] = ...,
    draws: int = ...,
    input: float = ...,
    target: float = ...,
) -> Result:
    """What is left of a gradient after 153 layers? Chains and networks of a few units a layer, sigmoid and ReLU: where gradients vanish, where they are exactly zero, and how likely that is.

    Parameters
    ----------
    seed : default 0
        seed of every random draw; 'random' draws one, recorded
    activation : default None
        one network alone; without it sigmoid and ReLU networks are compared
    depth : default 153
        layers, input and output included
    shallow_depth : default 10
        a second, smaller depth of the comparison; null for none
    width : default None
        units a layer (1 is a chain); null is 1 for one network alone, 2 for the bipartite network of the comparison
    residual : default False
        z = previous z + h(a) in the hidden layers
    weights : default 'normal'
        how weights are drawn
    scale : default 1.0
        standard deviation (normal), half-width (uniform), the weight itself (constant), a factor on the usual deviation (xavier, he)
    bias_scale : default 0.0
        standard deviation of the normal biases; 0 for none
    output : default 'identity'
        activation of the output unit
    draws : default 10000
        networks drawn of each kind
    input : default 1.0
        the value of every input
    target : default 0.0
        t in E = (a - t)²/2

    Returns
    -------
    Result
        ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.

    Raises
    ------
    mlhw.errors.ConfigError, mlhw.errors.DataError
        A key, a value or the data cannot be used; one line for each error.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
def lr_sweep(
    *,
    seed: int | Literal["random"] = ...,
    data: Mapping[str, Any] | str = ...,
    etas: Collection[float] = ...,
    w0: Collection[float] | None = ...,
    standardize: bool = ...,
    max_iterations: int = ...,
    tolerance: float = ...,
    log_axis: Literal["none", "iteration", "nll", "both"] = ...,
    shards: int | None = ...,
    shard_memory: int = ...,
) -> Result:
    """How does the learning rate change gradient descent? Two-class logistic regression at several rates from the same start: which oscillate, which are slow, and why.

    Parameters
    ----------
    seed : default 0
        seed of every random draw; 'random' draws one, recorded
    data : mapping, see below
        points: gaussians, iris, wine, breast-cancer, or a file (text, CSV, ARFF, NPZ …)
        ``data.name`` (default 'gaussians'): built-in set: gaussians, iris, wine, breast-cancer
        ``data.file`` (default None): or a file: text, CSV, ARFF, svmlight, NPZ or NPY; '-' is the standard input
        ``data.label`` (default None): the class's column, by name or by number from 0; null: label, else the last
        ``data.classes`` (default None): keep only these classes
        ``data.features`` (default None): keep only these features, by name or by number from 0
        ``data.drop`` (default None): leave these features out, by name or by number from 0
        ``data.missing`` (default 'fail'): missing values: fail names their lines, drop leaves the rows out
        ``data.encode`` (default 'none'): words as numbers: yes-no makes 0 and 1 of no and yes, false and true; one-hot also a column sex=male for each other word
        ``data.encoding`` (default None): of a text: cp1252, latin-1, …; null: UTF-8, or as its first bytes say
        ``data.header`` (default None): whether the first line names the columns; null: find out
        ``data.digest`` (default None): sha256 of the points, recorded by a run; a rerun warns if it differs
    etas : default [0.5, 0.3, 0.1, 0.05, 0.01]
        learning rates: 0.5,0.3,0.1 or a range 0.01:1:log9, 0.1:0.5:lin5
    w0 : default None
        start, w1,…,wd,bias; null: 0.1,0,…,0
    standardize : default False
        scale every feature to mean 0 and standard deviation 1
    max_iterations : default 500
        NLLs recorded at most for a rate
    tolerance : default 1e-05
        a rate stops when its NLL changes by less; 0 never does
    log_axis : default 'nll'
        logarithmic axes of the figure of the NLL
    shards : default None
        rows in so many parts, a power of two; null: all in memory, 16 where several processes work
    shard_memory : default 512
        MB of rows in shards that a process keeps; others are read in each pass

    Returns
    -------
    Result
        ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.

    Raises
    ------
    mlhw.errors.ConfigError, mlhw.errors.DataError
        A key, a value or the data cannot be used; one line for each error.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
def sgd_sweep(
    *,
    seed: int | Literal["random"] = ...,
    data: Mapping[str, Any] | str = ...,
    etas: Collection[float] = ...,
    w0: Collection[float] | None = ...,
    standardize: bool = ...,
    epochs: int = ...,
    repeats: int | None = ...,
    batch_size: int = ...,
    tolerance: float | None = ...,
) -> Result:
    """Is stochastic gradient descent faster than gradient descent? The same logistic regression with one update a sample, against gradient descent after the same number of passes over the data.

    Parameters
    ----------
    seed : default 0
        seed of every random draw; 'random' draws one, recorded
    data : mapping, see below
        points: gaussians, iris, wine, breast-cancer, or a file (text, CSV, ARFF, NPZ …)
        ``data.name`` (default 'gaussians'): built-in set: gaussians, iris, wine, breast-cancer
        ``data.file`` (default None): or a file: text, CSV, ARFF, svmlight, NPZ or NPY; '-' is the standard input
        ``data.label`` (default None): the class's column, by name or by number from 0; null: label, else the last
        ``data.classes`` (default None): keep only these classes
        ``data.features`` (default None): keep only these features, by name or by number from 0
        ``data.drop`` (default None): leave these features out, by name or by number from 0
        ``data.missing`` (default 'fail'): missing values: fail names their lines, drop leaves the rows out
        ``data.encode`` (default 'none'): words as numbers: yes-no makes 0 and 1 of no and yes, false and true; one-hot also a column sex=male for each other word
        ``data.encoding`` (default None): of a text: cp1252, latin-1, …; null: UTF-8, or as its first bytes say
        ``data.header`` (default None): whether the first line names the columns; null: find out
        ``data.digest`` (default None): sha256 of the points, recorded by a run; a rerun warns if it differs
    etas : default [0.5, 0.3, 0.1, 0.05, 0.01]
        learning rates: 0.5,0.3,0.1 or a range 0.01:1:log9, 0.1:0.5:lin5
    w0 : default None
        start, w1,…,wd,bias; null: 0.1,0,…,0
    standardize : default False
        scale every feature to mean 0 and standard deviation 1
    epochs : default 500
        passes over the data
    repeats : default None
        runs with permutations of their own; null: 20, fewer where they take long
    batch_size : default 1
        samples whose mean gradient is a step
    tolerance : default None
        a rate stops when its NLL changes by less; null or 0 never does

    Returns
    -------
    Result
        ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.

    Raises
    ------
    mlhw.errors.ConfigError, mlhw.errors.DataError
        A key, a value or the data cannot be used; one line for each error.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
def finetune(
    *,
    seed: int | Literal["random"] = ...,
    model: str = ...,
    weights: str | os.PathLike[str] = ...,
    data: Mapping[str, Any] | str = ...,
    image_size: int | Literal["auto"] = ...,
    fit: Literal["crop", "pad", "squash"] = ...,
    repeats: int = ...,
    epochs: int = ...,
    continued: Collection[Collection[int]] = ...,
    batch_size: int = ...,
    accumulate: int = ...,
    ema: float | None = ...,
    keep: Literal["last", "best"] = ...,
    val_every: int = ...,
    best: Literal["auto", "loss", "accuracy", "balanced-accuracy", "macro-f1"] = ...,
    patience: int | None = ...,
    head: Mapping[str, Any] = ...,
    optim: Mapping[str, Any] = ...,
    schedule: Mapping[str, Any] = ...,
    unfreeze_at: int | Literal["auto"] | None = ...,
    unfreeze_stages: int | None = ...,
    batch_norm: Literal["eval", "train"] = ...,
    sync_batch_norm: bool = ...,
    augment: str = ...,
    mixup: float = ...,
    cutmix: float = ...,
    sampler: Literal["shuffle", "balanced"] = ...,
    class_weights: Literal["none", "balanced"] = ...,
    features: Literal["auto", "memory", "disk", "off"] = ...,
    views: int = ...,
    compare: Literal["auto", "first-open", "random", "none"] = ...,
    explain: int = ...,
    device: str = ...,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = ...,
    layout: Literal["auto", "contiguous", "channels-last"] = ...,
    compile: bool = ...,
    deterministic: bool = ...,
    threads: int | Literal["auto"] = ...,
    workers: int | Literal["auto"] = ...,
    splits: Any = ...,
) -> Result:
    """Does a network that was trained on something else learn a new task faster than one that knows nothing? A pre-trained network gets a new head, is trained and validated, and the model with the best validation is kept and tested.

    Parameters
    ----------
    seed : default 0
        seed of every random draw; 'random' draws one, recorded
    model : default 'efficientnet_lite0'
        network: efficientnet_lite0, cifar_resnet20/32/44/56, torchvision:NAME, timm:NAME, hf-hub:OWNER/NAME
    weights : default 'default'
        its weights: default, none (random) or a file
    data : mapping, see below
        ``data.name`` (default 'digits'): images: digits, cifar10, cifar100, mnist, fashion-mnist, folder:PATH or csv:PATH
        ``data.dir`` (default None): where named data sets and one's own weights are kept; null is ./data
        ``data.val`` (default None): validation images, a count or a fraction; null as the data say
        ``data.test`` (default None): test images, a count or a fraction; 0 for none
        ``data.folds`` (default None): validate on one of so many equal folds, not on val
        ``data.fold`` (default None): which of the folds, from 0; null is 0
        ``data.group`` (default None): CSV column whose values no split may divide; null is group, if it is there
        ``data.image_root`` (default None): where relative names in a CSV begin; null is its folder
        ``data.on_error`` (default 'fail'): what an unreadable image does
        ``data.max_skipped`` (default 0.01): share that skip may leave out; above 0 one image always
        ``data.on_leak`` (default 'warn'): what one picture in two splits, or in two classes, does
        ``data.pixel_range`` (default None): black and white of pixels of more than 8 bits; null is the training images' range
        ``data.resident`` (default None): keep the decoded images in memory; null does where they fit
        ``data.download`` (default False): fetch a named data set that is missing
        ``data.digest`` (default None): recorded by a run; a rerun warns of a change
    image_size : default 'auto'
        side of what the network sees; auto is its own, at most 8 × the image
    fit : default 'crop'
        crop the middle, or pad or squash whole images
    repeats : default 1
        runs, each with the next seed, or the next fold
    epochs : default 13
        passes over the training data
    continued : default []
        recorded by a run that went on: [epochs done, planned] each time
    batch_size : default 32
        images in a batch
    accumulate : default 1
        batches whose gradients make one step
    ema : default None
        decay of the weights' moving average; null keeps none
    keep : default 'last'
        checkpoints of a finished run: last and best, or the best alone
    val_every : default 1
        epochs from validation to validation
    best : default 'auto'
        which validation value picks the model; auto is accuracy, ties by loss
    patience : default None
        validations without a better one that end the run
    head : mapping, see below
        ``head.hidden`` (default []): widths of hidden ReLU layers, such as 64,32
        ``head.dropout`` (default 0.0): share of the last layer's inputs set to 0
    optim : mapping, see below
        ``optim.name`` (default 'adamw'): optimizer
        ``optim.lr`` (default 0.001): full learning rate of the head
        ``optim.backbone_lr`` (default 'auto'): full rate of the backbone; null is lr; auto tries lr × 1, 0.3, 0.1, 0.03, 0.01, and is lr on the built-in digits
        ``optim.find_lr`` (default False): try these rates before unfreezing, in a table and a figure; auto does anyway
        ``optim.layer_decay`` (default 1.0): factor on the rate for each stage further from the output
        ``optim.momentum`` (default 0.9): momentum of sgd
        ``optim.nesterov`` (default False): Nesterov's momentum for sgd
        ``optim.weight_decay`` (default 0.01): on weights, not on biases and norms
        ``optim.clip`` (default None): largest norm of the gradient; null is any
        ``optim.label_smoothing`` (default 0.1): share of each label spread over all classes
    schedule : mapping, see below
        ``schedule.name`` (default 'one-cycle'): course of the learning rate
        ``schedule.warmup`` (default None): share of the steps that it rises; null is 0.3 or 0
    unfreeze_at : default 'auto'
        first epoch that trains the backbone; null never does, auto leaves the last 3 of 13
    unfreeze_stages : default None
        how many of its last stages; null is all
    batch_norm : default 'eval'
        statistics of batch norm in trained stages
    sync_batch_norm : default False
        batch norm over the images of all processes, on GPUs (torchrun)
    augment : default 'none'
        random changes of training images: a preset, or names with commas
    mixup : default 0.0
        MixUp's α: training images added in pairs; 0 is none
    cutmix : default 0.0
        CutMix's α: parts of images put into others; 0 is none
    sampler : default 'shuffle'
        training images each once, or every class equally often
    class_weights : default 'none'
        weights in the loss; balanced: every class the same
    features : default 'auto'
        where a frozen backbone's outputs are stored; off recomputes them
    views : default 0
        stored changes of an image for frozen epochs
    compare : default 'auto'
        train from random weights too: random for all epochs, first-open until all layers have learnt for one; auto is first-open on the built-in digits
    explain : default 0
        worst images, and as many others, that show where the network looked
    device : default 'auto'
        where: auto, cpu, cuda, cuda:N or mps
    precision : default 'auto'
        of the backbone; auto measures fp32 and bf16
    layout : default 'auto'
        memory; auto measures
    compile : default False
        compile the backbone by torch.compile
    deterministic : default False
        the same bits on a GPU too: no TF32, no algorithm that may differ
    threads : default 'auto'
        CPU threads; auto is one for each usable core
    workers : default 'auto'
        threads that make batches ahead; auto is 0 for images in memory, else 2
    splits : object, from Python alone

    Returns
    -------
    Result
        ``summary``, ``claims``, ``tables``, ``figures``, and ``save(path)``.

    Raises
    ------
    mlhw.errors.ConfigError, mlhw.errors.DataError
        A key, a value or the data cannot be used; one line for each error.
    mlhw.errors.RunError
        The run failed after work had begun.
    """
