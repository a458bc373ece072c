import lvh


@lvh.register_model("narrow", inputs="signal")
def narrow(input_shape):
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv1D(8, 50, strides=25, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
