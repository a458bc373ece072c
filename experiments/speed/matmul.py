"""Rate of a float32 matrix product of 4096 by 4096 in TensorFlow, as JSON, in GFLOP/s."""

import json
import statistics
import time

import tensorflow as tf

SIZE, TIMES = 4096, 3


def main() -> None:
    """Multiply some times and print the median rate."""
    a, b = tf.random.normal([SIZE, SIZE]), tf.random.normal([SIZE, SIZE])
    product = tf.function(tf.matmul)
    product(a, b).numpy()  # starts the threads
    rates = []
    for _ in range(TIMES):
        started = time.perf_counter()
        product(a, b)[0, 0].numpy()
        rates.append(2 * SIZE**3 / (time.perf_counter() - started) / 1e9)
    print(json.dumps({"gflops": statistics.median(rates)}))


if __name__ == "__main__":
    main()
