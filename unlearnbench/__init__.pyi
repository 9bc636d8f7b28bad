from .api.apply import Applied as Applied
from .api.apply import apply as apply
from .api.audit import audit as audit
from .api.board import board as board
from .api.listener import Listener as Listener
from .api.listener import Outlook as Outlook
from .api.packs import pack as pack
from .api.packs import unpack as unpack
from .api.reports import Review as Review
from .api.reports import compare as compare
from .api.reports import rank as rank
from .api.reports import report as report
from .api.request import Setup as Setup
from .api.request import benchmark as benchmark
from .api.results import Condition as Condition
from .api.results import Results as Results
from .api.results import load as load
from .api.session import run as run
from .authoring import Method as Method
from .authoring import Task as Task
from .errors import UserError as UserError
from .recipe import Optimizer as Optimizer
from .recipe import param as param
from .registry import method as method
from .scheduling.slots import Event as Event

__version__: str
