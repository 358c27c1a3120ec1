"""Right submissions as they are written for known courses and books; all of our own making."""

NIELSEN = """
import random
import numpy as np

class Network(object):
    def __init__(self, sizes):
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.biases = [np.random.randn(y, 1) for y in sizes[1:]]
        self.weights = [np.random.randn(y, x) for x, y in zip(sizes[:-1], sizes[1:])]

    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activation, activations, zs = x, [x], []
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, activation) + b
            zs.append(z)
            activation = sigmoid(z)
            activations.append(activation)
        delta = self.cost_derivative(activations[-1], y) * sigmoid_prime(zs[-1])
        nabla_b[-1] = delta
        nabla_w[-1] = np.dot(delta, activations[-2].transpose())
        for l in range(2, self.num_layers):
            delta = np.dot(self.weights[-l + 1].transpose(), delta) * sigmoid_prime(zs[-l])
            nabla_b[-l] = delta
            nabla_w[-l] = np.dot(delta, activations[-l - 1].transpose())
        return (nabla_b, nabla_w)

    def cost_derivative(self, output_activations, y):
        return output_activations - y

def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))

def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))

training_data = load_mnist()
Network([784, 30, 10]).SGD(training_data, 30, 10, 3.0)
"""

CS231N = """
import numpy as np
import matplotlib.pyplot as plt

class TwoLayerNet(object):
    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        self.params = {}
        self.params['W1'] = std * np.random.randn(input_size, hidden_size)
        self.params['b1'] = np.zeros(hidden_size)
        self.params['W2'] = std * np.random.randn(hidden_size, output_size)
        self.params['b2'] = np.zeros(output_size)

    def loss(self, X, y=None, reg=0.0):
        W1, b1 = self.params['W1'], self.params['b1']
        W2, b2 = self.params['W2'], self.params['b2']
        N, D = X.shape
        hidden = np.maximum(0, X.dot(W1) + b1)
        scores = hidden.dot(W2) + b2
        if y is None:
            return scores
        exp = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs = exp / exp.sum(axis=1, keepdims=True)
        loss = -np.log(probs[range(N), y]).sum() / N + reg * np.sum(W1 * W1)
        grads = {}
        dscores = probs
        dscores[range(N), y] -= 1
        dscores /= N
        grads['W2'] = hidden.T.dot(dscores) + 2 * reg * W2
        grads['b2'] = dscores.sum(axis=0)
        dhidden = dscores.dot(W2.T)
        dhidden[hidden <= 0] = 0
        grads['W1'] = X.T.dot(dhidden) + 2 * reg * W1
        grads['b1'] = dhidden.sum(axis=0)
        return loss, grads
"""

COURSERA = """
import numpy as np
from numpy import loadtxt

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def nnCostFunction(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda_=0.0):
    at = hidden_layer_size * (input_layer_size + 1)
    Theta1 = np.reshape(nn_params[:at], (hidden_layer_size, input_layer_size + 1), order='F')
    Theta2 = np.reshape(nn_params[at:], (num_labels, hidden_layer_size + 1), order='F')
    m = len(y)
    a1 = np.hstack([np.ones((m, 1)), X])
    z2 = a1 @ Theta1.T
    a2 = np.hstack([np.ones((m, 1)), sigmoid(z2)])
    a3 = sigmoid(a2 @ Theta2.T)
    Y = np.eye(num_labels)[y.reshape(-1)]
    J = -(Y * np.log(a3) + (1 - Y) * np.log(1 - a3)).sum() / m
    d3 = a3 - Y
    d2 = (d3 @ Theta2)[:, 1:] * sigmoid(z2) * (1 - sigmoid(z2))
    Theta1_grad = d2.T @ a1 / m
    Theta2_grad = d3.T @ a2 / m
    Theta1_grad[:, 1:] += lambda_ / m * Theta1[:, 1:]
    grad = np.concatenate([Theta1_grad.ravel(order='F'), Theta2_grad.ravel(order='F')])
    return J, grad

data = loadtxt('ex4data1.txt')
"""

DEEPLEARNING = """
import numpy as np

def sigmoid(Z):
    return 1 / (1 + np.exp(-Z)), Z

def relu(Z):
    return np.maximum(0, Z), Z

def linear_activation_forward(A_prev, W, b, activation):
    Z = np.dot(W, A_prev) + b
    A, activation_cache = sigmoid(Z) if activation == 'sigmoid' else relu(Z)
    return A, ((A_prev, W, b), activation_cache)

def L_model_forward(X, parameters):
    caches, A, L = [], X, len(parameters) // 2
    for l in range(1, L):
        A, cache = linear_activation_forward(A, parameters['W' + str(l)], parameters['b' + str(l)], 'relu')
        caches.append(cache)
    AL, cache = linear_activation_forward(A, parameters['W' + str(L)], parameters['b' + str(L)], 'sigmoid')
    caches.append(cache)
    return AL, caches

def linear_activation_backward(dA, cache, activation):
    (A_prev, W, b), Z = cache
    if activation == 'relu':
        dZ = np.array(dA, copy=True)
        dZ[Z <= 0] = 0
    else:
        s = 1 / (1 + np.exp(-Z))
        dZ = dA * s * (1 - s)
    m = A_prev.shape[1]
    return W.T @ dZ, dZ @ A_prev.T / m, np.sum(dZ, axis=1, keepdims=True) / m

def L_model_backward(AL, Y, caches):
    grads, L = {}, len(caches)
    dA = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
    kind = 'sigmoid'
    for l in reversed(range(L)):
        dA, dW, db = linear_activation_backward(dA, caches[l], kind)
        grads['dW' + str(l + 1)], grads['db' + str(l + 1)] = dW, db
        grads['dA' + str(l)] = dA
        kind = 'relu'
    return grads
"""

PLANAR = """
import numpy as np

def forward_propagation(X, parameters):
    Z1 = parameters['W1'] @ X + parameters['b1']
    A1 = np.tanh(Z1)
    A2 = 1 / (1 + np.exp(-(parameters['W2'] @ A1 + parameters['b2'])))
    return A2, {'Z1': Z1, 'A1': A1, 'A2': A2}

def backward_propagation(parameters, cache, X, Y):
    m = X.shape[1]
    dZ2 = cache['A2'] - Y
    dZ1 = parameters['W2'].T @ dZ2 * (1 - cache['A1'] ** 2)
    return {'dW1': dZ1 @ X.T / m, 'db1': dZ1.sum(axis=1, keepdims=True) / m,
            'dW2': dZ2 @ cache['A1'].T / m, 'db2': dZ2.sum(axis=1, keepdims=True) / m}
"""

FORWARD_BACKWARD = """
import numpy as np

class NeuralNetwork:
    def __init__(self, n_in, n_hidden, n_out):
        self.W1 = np.random.randn(n_in, n_hidden)
        self.b1 = np.zeros((1, n_hidden))
        self.W2 = np.random.randn(n_hidden, n_out)
        self.b2 = np.zeros((1, n_out))

    def forward(self, X):
        self.a1 = X @ self.W1 + self.b1
        self.z1 = 1 / (1 + np.exp(-self.a1))
        return self.z1 @ self.W2 + self.b2

    def backward(self, X, y, output):
        delta = (output - y) / len(X)
        self.dW2 = self.z1.T @ delta
        self.db2 = delta.sum(axis=0)
        delta = (delta @ self.W2.T) * self.z1 * (1 - self.z1)
        self.dW1 = X.T @ delta
        self.db1 = delta.sum(axis=0)
"""

LISTS = """
import numpy as np

class Net:
    def __init__(self, sizes):
        self.weights = [np.random.randn(n, m) for m, n in zip(sizes[:-1], sizes[1:])]
        self.biases = [np.zeros(n) for n in sizes[1:]]

    def forward(self, x):
        self.z = [x]
        for W, b in zip(self.weights[:-1], self.biases[:-1]):
            self.z.append(1 / (1 + np.exp(-(W @ self.z[-1] + b))))
        return self.weights[-1] @ self.z[-1] + self.biases[-1]

    def backward(self, output, target):
        delta, dW, db = output - target, [], []
        for W, z in zip(self.weights[::-1], self.z[::-1]):
            dW.insert(0, np.outer(delta, z))
            db.insert(0, delta)
            delta = (W.T @ delta) * z * (1 - z)
        return dW, db
"""
