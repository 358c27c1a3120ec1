"""The small configurations in which mutants are run, and the files that they read."""

from __future__ import annotations

import shlex

SMALL = (
    "--model cifar_resnet20 --weights none --image-size 8 --val 0.45 --test 0.45 --threads 1 "
    "--precision fp32 --layout channels-last --batch-size 32"
)
# Files beside the runs: more features than points; classes that touch in a line, where both have points,
# and behind it in a point of that; that nearly touch; that touch in one value.
FILES = {
    "wide.csv": "x1,x2,x3,x4,x5,x6,label\n1,0,2,-1,.5,3,a\n0,1,-2,1,1,0,b\n2,-1,0,.3,1,1,a\n"
    "-1,1,1,2,0,1,b\n",
    "touching.csv": "x1,x2,label\n-1,0,a\n-1,1,a\n0,0,a\n0,0,b\n0,1,a\n0,1,b\n0,2,b\n1,0,b\n2,1,b\n",
    "nested.csv": "x1,x2,x3,label\n-1,0,2,a\n-2,1,0,a\n0,-1,1,a\n0,-2,0,a\n0,0,0,a\n0,0,0,b\n0,0,1,b\n"
    "0,1,1,b\n0,2,0,b\n1,0,-1,b\n2,-1,1,b\n",
    "near.csv": "x1,x2,label\n0,0,a\n1,3,a\n0.2,5,a\n1,-2,a\n1.000000001,1,b\n2,1,b\n3,3,b\n"
    "1.000000001,4,b\n",
    "value.csv": "x,label\n-1,a\n0,a\n0,b\n0,b\n1,b\n",
}
# Overlapping classes at steady and oscillating rates; separable ones; more features than points, and
# divergence; rates above what can settle; every kind of separation; steps over narrow peaks. Then one
# sample at a time; batches in several orders; a start far off; an end in the first pass; a lucky order.
# Every activation, with biases and without, and the sigmoid output; networks at a kink; every kind of
# region, one narrower than rounding, more classes than colours; frozen and open layers, in every schedule.
CONFIGURATIONS = [
    shlex.split(line.replace("SMALL", SMALL))
    for line in """
lr-sweep --etas 0.5,0.15,0.1,0.05 --max-iterations 120
lr-sweep --data iris --classes 0,1 --standardize --etas 5,0.9,0.3 --max-iterations 80 --tolerance 1e-4 \
--w0 0.1,0.2,-0.3,0.1,0.05
lr-sweep --data wide.csv --etas 1e308,60,0.05,0.01 --max-iterations 40 --tolerance 0
lr-sweep --standardize --etas 60,5,1,0.5 --tolerance 0 --max-iterations 150
lr-sweep --data touching.csv --etas 0.5,0.1 --max-iterations 20
lr-sweep --data near.csv --etas 0.5,0.1 --max-iterations 20
lr-sweep --data nested.csv --etas 0.5,0.1 --max-iterations 20
lr-sweep --data value.csv --etas 0.5,0.1 --max-iterations 20
lr-sweep --etas 3000,900,0.1 --tolerance 0 --max-iterations 30
sgd-sweep --etas 0.3,0.03,0.01 --epochs 200 --repeats 1
sgd-sweep --data iris --classes 0,1 --standardize --batch-size 7 --repeats 2 --epochs 30 --tolerance 1e-3 \
--etas 0.5,0.1,0.01
sgd-sweep --data wine --classes 0,1 --features 0,1 --etas 1e300,0.05,0.005 --epochs 12 --batch-size 4 \
--w0 1,-1,0.5 --repeats 1
sgd-sweep --data wine --classes 0,1 --etas 1e300,1e305 --epochs 3 --repeats 1
sgd-sweep --etas 0.25 --epochs 100 --seed 2 --repeats 1
vanishing --depth 14 --draws 300
vanishing --depth 12 --draws 100 --bias-scale 0.5 --output sigmoid
vanishing --activation relu --residual --depth 9 --draws 100
vanishing --activation sigmoid --weights constant --scale 0.5 --depth 14 --draws 1
vanishing --activation leaky_relu --depth 8 --draws 60
vanishing --activation tanh --width 3 --residual --weights xavier --depth 8 --draws 60
vanishing --activation gelu --weights uniform --scale 2 --depth 12 --draws 60
vanishing --activation leaky_relu --width 2 --weights he --depth 8 --draws 60
vanishing --activation softplus --weights constant --scale 0.7 --depth 9 --draws 1
backprop-check --trials 12 --max-width 5
backprop-check --layers 3,4,3 --hidden tanh --output softmax --loss cross_entropy --bias --batch 3 \
--trials 2 --max-width 4
backprop-check --layers 4,60,64,1 --hidden gelu --trials 0
backprop-check --layers 2,1,1,1,2,1 --hidden relu --trials 0 --seed 1
backprop-check --layers 3,3,2 --output softmax --loss half_squared_error --trials 0
softmax-regions
softmax-regions --config five.yaml
softmax-regions --fit iris --features 2,3
softmax-regions --weights "1,0;-1,0;3,0;3,0" --biases 0,1,-5,-6
softmax-regions --weights "1,0;-1,0;0,1e-18" --biases 0,0,0 --window -1,198,-10,189
softmax-regions --weights "2,0;-2,0;1,0" --biases 0,0,0
softmax-regions --weights "9,0;8,3;5,6;2,8;-1,9;-4,7;-7,5;-9,1;-8,-3;-5,-6;-1,-9;3,-8;6,-6" \
--biases 0,1,0,0,0,0,0,0,0,0,0,0,0
finetune SMALL --epochs 4 --unfreeze-at 2 --lr 0.01 --features memory
finetune SMALL --optim sgd --lr 0.05 --clip 0.5 --schedule cosine --warmup 0.3 --best accuracy \
--epochs 3 --unfreeze-at 1 --unfreeze-stages 1 --augment flip-crop --views 2 --val-every 2 \
--features memory --hidden 16 --label-smoothing 0
finetune SMALL --schedule step --warmup 0.2 --lr 0.01 --layer-decay 0.8 --epochs 3 --unfreeze-at 0 \
--batch-norm train --features off --augment flip --patience 1 --sampler balanced --best macro-f1
finetune SMALL --epochs 2 --unfreeze-at 1 --lr 0.01 --features memory --backbone-lr auto \
--class-weights balanced --best balanced-accuracy --mixup 0.2 --cutmix 0.2
""".strip().splitlines()
]
