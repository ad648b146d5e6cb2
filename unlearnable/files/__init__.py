"""Files in, files out: collections of any size, pictures written back with only their colour samples changed."""

from unlearnable.files.collection import Collection as Collection
from unlearnable.files.collection import Packable as Packable
from unlearnable.files.collection import kept as kept
from unlearnable.files.destination import Destination as Destination
from unlearnable.files.destination import open_destination as open_destination
from unlearnable.files.formats import Container as Container
from unlearnable.files.formats import Target as Target
from unlearnable.files.formats import is_picture_name as is_picture_name
from unlearnable.files.formats import output_name as output_name
from unlearnable.files.formats import sniff as sniff
from unlearnable.files.formats import stems as stems
from unlearnable.files.item import BOOKKEEPING as BOOKKEEPING
from unlearnable.files.item import Item as Item
from unlearnable.files.picture import Picture as Picture
from unlearnable.files.picture import decode as decode
from unlearnable.files.picture import encode as encode
from unlearnable.files.picture import matches as matches
from unlearnable.files.refused import Refused as Refused
from unlearnable.files.signals import signalled as signalled
from unlearnable.files.sources import kind_of as kind_of
from unlearnable.files.sources import open_collection as open_collection
