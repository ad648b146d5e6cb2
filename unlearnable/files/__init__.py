"""Files in, files out: collections of any size, pictures written back with only their colour samples changed."""

from unlearnable.files.collections.collection import Collection as Collection
from unlearnable.files.collections.collection import Packable as Packable
from unlearnable.files.collections.collection import kept as kept
from unlearnable.files.collections.item import BOOKKEEPING as BOOKKEEPING
from unlearnable.files.collections.item import Item as Item
from unlearnable.files.collections.sources import kind_of as kind_of
from unlearnable.files.collections.sources import open_collection as open_collection
from unlearnable.files.destination import Destination as Destination
from unlearnable.files.destination import open_destination as open_destination
from unlearnable.files.formats import Container as Container
from unlearnable.files.formats import Target as Target
from unlearnable.files.formats import is_picture_name as is_picture_name
from unlearnable.files.formats import output_name as output_name
from unlearnable.files.formats import sniff as sniff
from unlearnable.files.formats import stems as stems
from unlearnable.files.pictures.picture import Picture as Picture
from unlearnable.files.pictures.picture import decode as decode
from unlearnable.files.pictures.picture import encode as encode
from unlearnable.files.pictures.picture import matches as matches
from unlearnable.files.pictures.signals import signalled as signalled
from unlearnable.files.refused import Refused as Refused
