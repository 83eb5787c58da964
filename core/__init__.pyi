from .api import check_recipe as check_recipe
from .api import run_recipe as run_recipe
from .contracts.corpus import (
    Context as Context,
)
from .contracts.corpus import (
    CorpusOperator as CorpusOperator,
)
from .contracts.corpus import (
    MixOperator as MixOperator,
)
from .contracts.corpus import (
    Size as Size,
)
from .contracts.corpus import (
    sampling_priority as sampling_priority,
)
from .contracts.engine import Engine as Engine
from .contracts.engine import PartitionFinished as PartitionFinished
from .contracts.engine import PartitionStalled as PartitionStalled
from .contracts.engine import PhaseStarted as PhaseStarted
from .contracts.engine import Progressed as Progressed
from .contracts.engine import RunFailed as RunFailed
from .contracts.engine import RunFinished as RunFinished
from .contracts.engine import RunObserver as RunObserver
from .contracts.engine import RunStarted as RunStarted
from .contracts.engine import WorkerConfig as WorkerConfig
from .contracts.engine import WorkItem as WorkItem
from .contracts.filter import Filter as Filter
from .contracts.filter import Signal as Signal
from .contracts.metric import BenchmarkItem as BenchmarkItem
from .contracts.metric import Choices as Choices
from .contracts.metric import Metric as Metric
from .contracts.operator import (
    CheckContext as CheckContext,
)
from .contracts.operator import (
    Operator as Operator,
)
from .contracts.operator import (
    Outcome as Outcome,
)
from .contracts.operator import (
    Services as Services,
)
from .contracts.parameters import (
    corpus_size as corpus_size,
)
from .contracts.parameters import (
    input_file as input_file,
)
from .contracts.parameters import (
    source_weights as source_weights,
)
from .contracts.parameters import (
    threshold as threshold,
)
from .contracts.recipe import Pool as Pool
from .contracts.recipe import Recipe as Recipe
from .contracts.reward import EvaluationBackend as EvaluationBackend
from .contracts.reward import EvaluationConfig as EvaluationConfig
from .contracts.reward import ProxyFidelity as ProxyFidelity
from .contracts.reward import Reward as Reward
from .contracts.reward import RewardConfig as RewardConfig
from .contracts.reward import Score as Score
from .contracts.source import (
    BrokenFileError as BrokenFileError,
)
from .contracts.source import (
    Partition as Partition,
)
from .contracts.source import (
    RawRow as RawRow,
)
from .contracts.source import (
    Source as Source,
)
from .contracts.source import (
    SourceError as SourceError,
)
from .contracts.synthesis import Synthesis as Synthesis
from .contracts.task import BenchmarkFile as BenchmarkFile
from .contracts.task import Budget as Budget
from .contracts.task import Task as Task
from .contracts.transform import TextTransform as TextTransform
from .contracts.transform import Transform as Transform
from .contracts.writer import Writer as Writer
from .distribution import extra as extra
from .errors import (
    ChangedInputError as ChangedInputError,
)
from .errors import (
    DatachefError as DatachefError,
)
from .errors import (
    MissingPackageError as MissingPackageError,
)
from .errors import (
    PluginError as PluginError,
)
from .errors import Problem as Problem
from .errors import (
    RecipeError as RecipeError,
)
from .errors import (
    RowError as RowError,
)
from .errors import (
    RunError as RunError,
)
from .errors import (
    UnavailableError as UnavailableError,
)
from .errors import shortened as shortened
from .language_models.answers import (
    UnparsableAnswerError as UnparsableAnswerError,
)
from .language_models.answers import (
    json_answer as json_answer,
)
from .language_models.answers import (
    unfenced as unfenced,
)
from .language_models.answers import (
    without_reasoning as without_reasoning,
)
from .language_models.client import (
    Completion as Completion,
)
from .language_models.client import (
    LLMBackend as LLMBackend,
)
from .language_models.client import (
    LLMError as LLMError,
)
from .language_models.client import (
    Request as Request,
)
from .language_models.client import (
    TransientLLMError as TransientLLMError,
)
from .language_models.prompts import PromptTemplate as PromptTemplate
from .registry.hookspecs import hookimpl as hookimpl
from .registry.host import Host as Host
from .rows.benchmark import read_benchmark as read_benchmark
from .rows.stored_conversations import json_lines as json_lines
from .rows.stored_conversations import write_parquet as write_parquet
from .run.executor import TaskExecutor as TaskExecutor
from .system.failures import raise_environment_failure as raise_environment_failure
from .system.paths import located as located
from .system.paths import path_identity as path_identity
from .text.conversations import turns_column as turns_column
from .text.conversations import turns_of as turns_of
from .text.languages import (
    UNDETERMINED_LANGUAGE as UNDETERMINED_LANGUAGE,
)
from .text.languages import (
    LanguageIdentifier as LanguageIdentifier,
)
from .text.languages import (
    UnknownLanguageError as UnknownLanguageError,
)
from .text.languages import (
    identify_languages as identify_languages,
)
from .text.personal_data import (
    PersonalDataKind as PersonalDataKind,
)
from .text.personal_data import (
    redact_personal_data as redact_personal_data,
)

__version__: str
