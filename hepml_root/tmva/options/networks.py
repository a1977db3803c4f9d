"""Options of the networks: TMVA's kMLP, kDL and kPyKeras, and this project's HepML.

Names, defaults and allowed values of the first three are TMVA's (its users guide, arXiv:physics/0703039, and
its newer releases). What changes nothing here says why.
"""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option

MLP = (
    Option("NCycles", 500, "Passes over the training events; of BFGS its iterations, of GA its generations."),
    Option("HiddenLayers", "N,N-1", "Neurons of each hidden layer; N is the number of variables: N+5,10."),
    Option(
        "NeuronType",
        "sigmoid",
        "Function of the hidden neurons.",
        ("linear", "sigmoid", "tanh", "radial", "ReLU"),
    ),
    Option(
        "RandomSeed", 1, "Seed of the initial weights and of the order of events; 0: another one each time."
    ),
    Option(
        "EstimatorType",
        "CE",
        "What is minimised. As in TMVA, the analysis decides: CE of two classes, MSE of the others.",
        ("MSE", "CE"),
    ),
    Option("NeuronInputType", "sum", "How a neuron adds what comes in.", ("sum", "sqsum", "abssum")),
    Option(
        "TrainingMethod",
        "BP",
        "Back-propagation in small steps, quasi-Newton steps of all events, or a genetic algorithm.",
        ("BP", "GA", "BFGS"),
    ),
    Option("LearningRate", 0.02, "Of BP, for each event."),
    Option("DecayRate", 0.01, "By which part the learning rate falls in each cycle of BP."),
    Option("TestRate", 10, "Every so many cycles the estimator is taken of training and test."),
    Option(
        "EpochMonitoring",
        False,
        "Histograms of every epoch.",
        honoured=False,
        instead="The estimator of every TestRate cycles is kept.",
    ),
    Option("Sampling", 1.0, "Part of the events, drawn anew, that a cycle of BP trains on."),
    Option("SamplingEpoch", 1.0, "Part of the cycles that draw; those after it take all events."),
    Option(
        "SamplingImportance",
        1.0,
        "How much more often events are drawn after a cycle that was worse.",
        honoured=False,
        instead="All events are drawn alike.",
    ),
    Option("SamplingTraining", True, "Draw the training events."),
    Option(
        "SamplingTesting",
        False,
        "Draw the test events.",
        honoured=False,
        instead="The estimator of the test is that of all its events.",
    ),
    Option(
        "ResetStep",
        50,
        "BFGS forgets the steps before after so many iterations.",
        honoured=False,
        instead="L-BFGS keeps the last ten steps all the time.",
    ),
    Option(
        "Tau",
        3.0,
        "First step of the line search of BFGS.",
        honoured=False,
        instead="The line search chooses its own steps.",
    ),
    Option(
        "BPMode",
        "sequential",
        "Steps of few events, or of BatchSize events.",
        ("sequential", "batch"),
    ),
    Option("BatchSize", -1, "Events of a step with BPMode=batch; -1: all."),
    Option("ConvergenceImprove", 1e-30, "By how much the estimator has to fall to count as better."),
    Option("ConvergenceTests", -1, "Tests in a row without that after which training ends; below 0: never."),
    Option("UseRegulator", False, "Keep weights small, as far as the events ask for it (BFGS)."),
    Option("UpdateLimit", 10000, "How often UseRegulator may be set anew."),
    Option(
        "CalculateErrors",
        False,
        "Keep the Hessian for errors of the response.",
        honoured=False,
        instead="Book several networks with other seeds, and compare.",
    ),
    Option("WeightRange", 1.0, "The estimator leaves out the events that are worst beyond this part."),
)

DL = (
    Option("Layout", "DENSE|(N+100)*2|SOFTSIGN,DENSE|0|LINEAR", "The layers; see docs/tmva_networks.md."),
    Option("InputLayout", "0|0|0", "channels|height|width of an image, or steps|features of a sequence."),
    Option("BatchLayout", "0|0|0", "TMVA's shape of a batch; it follows from the rest and is only checked."),
    Option(
        "RandomSeed", 0, "Seed of the initial weights and of the order of events; 0: another one each time."
    ),
    Option(
        "ErrorStrategy",
        "CROSSENTROPY",
        "What is minimised; SUMOFSQUARES of regressions.",
        ("CROSSENTROPY", "SUMOFSQUARES", "MUTUALEXCLUSIVE"),
    ),
    Option(
        "WeightInitialization",
        "XAVIER",
        "Initial weights.",
        ("XAVIER", "XAVIERUNIFORM", "GAUSS", "UNIFORM", "IDENTITY", "ZERO"),
    ),
    Option(
        "Architecture",
        "CPU",
        "What computes.",
        ("STANDARD", "CPU", "GPU", "OPENCL", "CUDA"),
        honoured=False,
        instead="Keras takes the device that it finds.",
    ),
    Option("ValidationSize", "20%", "Training events set aside: 20%, 0.2, or 100 for so many."),
    Option(
        "TrainingStrategy",
        "LearningRate=1e-3,Momentum=0.0,ConvergenceSteps=100,MaxEpochs=2000,Optimizer=ADAM,BatchSize=30,"
        "TestRepetitions=7,WeightDecay=0.0,Regularization=None,DropConfig=0.0",
        "Phases of training, separated by |.",
    ),
)

PYKERAS = (
    Option("FilenameModel", "", "The compiled Keras model to train: a .keras or .h5 file."),
    Option("FilenameTrainedModel", "", "Where the trained model goes; by default beside the weights."),
    Option("BatchSize", 100, "Events of a step."),
    Option("NumEpochs", 10, "Passes over the training events."),
    Option(
        "NumThreads",
        0,
        "Threads of TensorFlow.",
        honoured=False,
        instead="Set TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS in the environment.",
    ),
    Option(
        "GpuOptions",
        "",
        "Settings of a TensorFlow 1 session.",
        honoured=False,
        instead="Use TF_FORCE_GPU_ALLOW_GROWTH=true and CUDA_VISIBLE_DEVICES in the environment.",
    ),
    Option("Verbose", 1, "How much Keras says of its training: 0, 1 or 2."),
    Option("ContinueTraining", False, "Begin with FilenameTrainedModel instead of FilenameModel."),
    Option("SaveBestOnly", True, "Keep the epoch with the smallest loss of the validation, not the last."),
    Option("TriesEarlyStopping", -1, "Epochs without a better one after which training ends; -1: never."),
    Option("LearningRateSchedule", "", "Rates from an epoch on: 50,0.01;70,0.005"),
    Option("TensorBoard", "", "Folder for a log of TensorBoard."),
    Option("ValidationSize", "20%", "The last training events are set aside: 20%, 0.2, or 100 for so many."),
    Option("tf.keras", True, "Use the Keras of TensorFlow: there is one Keras since version 3."),
    Option(
        "UserCode", "", "A Python file that is executed before the model is loaded, for layers of its own."
    ),
)

HEPML = (
    Option("Model", "dense", "A model of the zoo, or a generator of showers."),
    Option("Preset", "default", "Settings of that model that belong together."),
    Option("Loss", "", "By default the cross entropy; significance, asimov, … with their settings."),
    Option("Signal", 0.0, "Expected signal events, for a loss that counts events."),
    Option("Background", 0.0, "Expected background events, likewise."),
    Option("Systematic", 0.0, "Relative uncertainty of the background, of a loss that has one."),
    Option("Optimizer", "adam", "A name of Keras."),
    Option("LearningRate", 1e-3, "Of the optimizer."),
    Option("Schedule", "", "Of the learning rate: cosine, exponential or plateau."),
    Option("Epochs", 100, "At most."),
    Option("BatchSize", 0, "Events of a step; 0: chosen by the sizes of network and sample."),
    Option("Patience", 10, "Epochs without a better one after which training ends; -1: never."),
    Option("ValidationSize", "20%", "Training events set aside: 20%, 0.2, or 100 for so many."),
    Option("Pretrain", "", "A loss for some epochs before, such as crossentropy."),
    Option("Transforms", "auto", "Variable transforms inside the model: standardise, gauss, …"),
    Option("RandomSeed", 1, "Seed of weights, of validation events and of the order of events."),
    Option("InputLayout", "", "channels|height|width of an image, or constituents|features of a sequence."),
    Option("Columns", "", "Names of the features of a constituent, separated by commas: pt,eta,phi,mass."),
    Option("Padding", "", "A constituent is there where this feature is not zero; by default where any is."),
    Option("Geometry", "", "Of generators: a calorimeter by name, such as lar-3."),
    Option("Conditions", "", "Of generators: spectators that a shower depends on, separated by commas."),
    Option("Class", "", "The class that an autoencoder learns (background) or a generator (signal)."),
)
