from .api import check_recipe as check_recipe, run_recipe as run_recipe
from .assets.asset import (
    Asset as Asset,
    AssetFile as AssetFile,
    FolderOrigin as FolderOrigin,
    WheelOrigin as WheelOrigin,
)
from .assets.checkpoint import checkpoint_folder as checkpoint_folder
from .assets.embedding import embedder as embedder
from .assets.store import (
    MissingAssetError as MissingAssetError,
    asset_checksum as asset_checksum,
    asset_folder as asset_folder,
)
from .contracts.code_permission import allowed_code as allowed_code
from .contracts.corpus import (
    Context as Context,
    CorpusOperator as CorpusOperator,
    MixOperator as MixOperator,
    OrderOperator as OrderOperator,
    RepeatOperator as RepeatOperator,
    Size as Size,
)
from .contracts.corpus_sample import CorpusSample as CorpusSample
from .contracts.engine import (
    Engine as Engine,
    PartitionFinished as PartitionFinished,
    PartitionRetried as PartitionRetried,
    PartitionStalled as PartitionStalled,
    PhaseStarted as PhaseStarted,
    Progressed as Progressed,
    RunFailed as RunFailed,
    RunFinished as RunFinished,
    RunObserver as RunObserver,
    RunStarted as RunStarted,
    WorkerConfig as WorkerConfig,
    WorkItem as WorkItem,
)
from .contracts.filter import Filter as Filter, Signal as Signal
from .contracts.metric import (
    AnswerKind as AnswerKind,
    BenchmarkItem as BenchmarkItem,
    Choices as Choices,
    Metric as Metric,
)
from .contracts.operator import (
    CheckContext as CheckContext,
    Operator as Operator,
    Outcome as Outcome,
    Services as Services,
)
from .contracts.parameters import (
    asset_name as asset_name,
    checkpoint_name as checkpoint_name,
    corpus_size as corpus_size,
    input_file as input_file,
    reference_source as reference_source,
    source_weights as source_weights,
    threshold as threshold,
)
from .contracts.reader import (
    InputFile as InputFile,
    Part as Part,
    Reader as Reader,
    ReadOptions as ReadOptions,
)
from .contracts.recipe import Pool as Pool, Recipe as Recipe
from .contracts.reward import (
    EvaluationBackend as EvaluationBackend,
    EvaluationConfig as EvaluationConfig,
    ProxyFidelity as ProxyFidelity,
    Reward as Reward,
    RewardConfig as RewardConfig,
    Score as Score,
)
from .contracts.row_operator import row_operator as row_operator
from .contracts.row_selection import (
    beside_ids as beside_ids,
    lowest as lowest,
    rows_dropped as rows_dropped,
    sampling_priorities as sampling_priorities,
    sampling_priority as sampling_priority,
)
from .contracts.source import (
    BrokenFileError as BrokenFileError,
    Partition as Partition,
    RawRow as RawRow,
    Source as Source,
    SourceError as SourceError,
)
from .contracts.synthesis import Synthesis as Synthesis
from .contracts.task import (
    BenchmarkFile as BenchmarkFile,
    Budget as Budget,
    Examples as Examples,
    Task as Task,
)
from .contracts.transform import (
    ConversationTransform as ConversationTransform,
    TextTransform as TextTransform,
    Transform as Transform,
)
from .contracts.writer import Writer as Writer
from .distribution import extra as extra
from .errors import (
    ChangedInputError as ChangedInputError,
    DatachefError as DatachefError,
    MissingPackageError as MissingPackageError,
    PluginError as PluginError,
    Problem as Problem,
    RecipeError as RecipeError,
    RowError as RowError,
    RunError as RunError,
    UnavailableError as UnavailableError,
    shortened as shortened,
)
from .language_models.answers import (
    DroppedRowError as DroppedRowError,
    UnparsableAnswerError as UnparsableAnswerError,
    json_answer as json_answer,
    unfenced as unfenced,
    without_reasoning as without_reasoning,
)
from .language_models.client import (
    Completion as Completion,
    LLMBackend as LLMBackend,
    LLMError as LLMError,
    Request as Request,
    TransientLLMError as TransientLLMError,
)
from .language_models.hub_files import model_folder as model_folder
from .language_models.inference import (
    ResultMemory as ResultMemory,
    leading_text as leading_text,
    quiet_loading as quiet_loading,
    single_thread as single_thread,
)
from .language_models.prompts import PromptError as PromptError, PromptTemplate as PromptTemplate
from .language_models.tokens import (
    BYTES_PER_TOKEN as BYTES_PER_TOKEN,
    TokenCounter as TokenCounter,
)
from .registry.folder_report import FolderReport as FolderReport
from .registry.hookspecs import hookimpl as hookimpl
from .registry.host import Host as Host
from .registry.installed import installed_metric as installed_metric
from .rows.benchmark import read_benchmark as read_benchmark
from .rows.stored_conversations import json_lines as json_lines, write_parquet as write_parquet
from .run.executor import TaskExecutor as TaskExecutor
from .run.finished import FinishedRun as FinishedRun
from .run.stage import work_item as work_item
from .system.code_identity import code_of as code_of
from .system.failures import raise_environment_failure as raise_environment_failure
from .system.paths import located as located, path_identity as path_identity
from .text.answer_forms import answer_form as answer_form, plain_kind as plain_kind
from .text.conversations import (
    render_text as render_text,
    turns_column as turns_column,
    turns_of as turns_of,
    with_text as with_text,
)
from .text.final_answers import (
    LETTERS as LETTERS,
    MarkedAnswer as MarkedAnswer,
    announcement as announcement,
    boxed_answer as boxed_answer,
    chosen_option as chosen_option,
    final_answer as final_answer,
    last_box as last_box,
    normalised_answer as normalised_answer,
    numbers_in as numbers_in,
    says_yes as says_yes,
)
from .text.formats import (
    ConversationFormat as ConversationFormat,
    recognised_conversation as recognised_conversation,
)
from .text.language_identification import (
    LanguageIdentifier as LanguageIdentifier,
    identify_languages as identify_languages,
)
from .text.languages import (
    UNDETERMINED_LANGUAGE as UNDETERMINED_LANGUAGE,
    UnknownLanguageError as UnknownLanguageError,
)
from .text.line_breaks import with_breaks as with_breaks
from .text.options import (
    Options as Options,
    options_in_fields as options_in_fields,
    options_in_prompt as options_in_prompt,
    options_of as options_of,
    place_of as place_of,
)
from .text.personal_data import (
    PersonalDataKind as PersonalDataKind,
    redact_personal_data as redact_personal_data,
)
from .text.triggers import without_trigger as without_trigger
from .text.turns import Turn as Turn

__version__: str
