"""Records -> tables, figures and pages: a pure function of the JSON, so that no number is ever typed."""

from unlearnable.tables.drawing import drawing as drawing
from unlearnable.tables.epochs import curves as curves
from unlearnable.tables.grid import Grid as Grid
from unlearnable.tables.matrices import matrix as matrix
from unlearnable.tables.matrices import transfer as transfer
from unlearnable.tables.matrices import worst as worst
from unlearnable.tables.mixtures import rates as rates
from unlearnable.tables.pages import figures as figures
from unlearnable.tables.pages import page as page
from unlearnable.tables.pages import render as render
from unlearnable.tables.pages import write_page as write_page
from unlearnable.tables.pictures import examples as examples
from unlearnable.tables.published import wide as wide
from unlearnable.tables.published import with_published as with_published
from unlearnable.tables.records import read as read
from unlearnable.tables.records import spread as spread
from unlearnable.tables.report import html as html
from unlearnable.tables.report import markdown as markdown
from unlearnable.tables.report import write as write
from unlearnable.tables.summaries import summary as summary
