"""Name what went wrong: every error that Sluice raises on purpose.

SluiceError
|-- WiringError       dvc.yaml and a stage's signature disagree
|-- ParamsError       params.yaml, settings or a concept file hold a wrong value
|-- ContractError     a table is not what its contract says
|-- CrawlError        a crawl's name, manifest or settings can't be used
|-- ShardError        a shard could not be made or read
|-- ValidationError   a crawl was refused at the door
|-- VersionError      a version can't be made, found or read
|   `-- Refused       a gate keeps a version from being published
`-- DeviceError       a device was asked for that isn't there

A message says what is wrong, which value, where it came from and the way out, in one line: the command line prints it as it is.
"""


class SluiceError(Exception):
    """Any error that a user can do something about."""


class WiringError(SluiceError):
    """dvc.yaml and a stage's signature disagree."""


class ParamsError(SluiceError):
    """A configured value is missing, misspelt or out of range."""


class ContractError(SluiceError):
    """A table doesn't match its contract."""


class CrawlError(SluiceError):
    """A crawl's name, manifest or settings can't be used."""


class ShardError(SluiceError):
    """A shard could not be made or read."""


class ValidationError(SluiceError):
    """A crawl was refused: the message names expectation, figure and limit."""


class VersionError(SluiceError):
    """A version of the dataset can't be made, found or read."""


class Refused(VersionError):
    """A gate keeps a version from being published: the message names figure and limit."""


class MemoryCeilingError(SluiceError):
    """A stage can't keep under SLUICE_MEMORY_GB."""


class DeviceError(SluiceError):
    """A device was asked for that isn't there."""
