"""Sentence patterns without a he or she to resolve: things, animals, number agreement, negation, openings.

Syntax as in :mod:`tlesion.toy.people_patterns`; ``{S=np:animal}`` is a noun phrase, singular or plural, with which
``{S:is}``, ``{S:was}``, ``{S:has}``, ``{S:does}``, ``{S:v move}`` and ``{S:it}`` agree. ``{name}`` is anybody.
"""

THINGS = """
{S=np:fruit} {S:is} (ripe|sweet|sour|fresh|on the {furniture}|in the bowl).
{S=np:animal} {S:is} {mood} because {S:it} {S:has} (no|little|enough) food.
{S=np:animal} {S:v move} in the {place}( every {day}|).
{S=np:animal} {S:does} not {move:inf} in the {building}.
{S=np:tool} {S:was} too {size} for the {neutral}.
{S=np:vehicle} {S:was} {size}, but {S:it} {S:was} not {colour}.
{S=np:cloth} in the {furniture} {S:is} {colour}.
{S=np:instrument} {S:was} {size}, and {name} played {S:it2} {time}.
{S=np:plant} in the {place} {S:has} {colour} flowers in {season}.
{S=np:furniture} {S:is} made of (wood|metal|glass|stone|plastic).
{S=np:neutral} {S:v make} {thing:pl} and {toy:pl}.
{S=np:neutral} {S:v sound} (loudly|quietly|often|every {day}).
{S=np:neutral} {S:is} {mood} and {S:does} not (sing|laugh|smile|speak).
The {neutral} (sees|likes|needs|wants|has) the {anything}( in the {place}| near the {building}|).
The {neutral} (sees|likes|needs|wants|has) the {anything:pl}( in the {place}| near the {building}|).
The {neutral:pl} (see|like|need|want|have) the {anything}( in the {place}| near the {building}|).
The {neutral:pl} (see|like|need|want|have) the {anything:pl}( in the {place}| near the {building}|).
The {anything} of the {neutral:pl} is {size}, and the {anything:pl} of the {neutral} are {colour}.
There (is|was) {a:anything} (in|near|behind|under|beside) the {furniture}.
There (are|were) {number} {anything:pl} (in|near|behind|under|beside) the {building}.
{name} (has|had|needs|found|painted|drew|carried) {a:anything}( and {number} {fruit:pl}|).
{name} does not (have|need|like|want) {thing:pl}, {fruit:pl} or {tool:pl}.
{name} put the {thing} on the {furniture} and the {X=cloth} into the bag.
{name} bought {mass}, {mass} and {a:food} at the market.
{name} lives in {a:building} near the {place}.
{name} went to the {building} by {vehicle} on {day}.
{name} and {name} are {mood} about the {season}.
The {fruit} is a fruit, the {animal} is an animal, and the {tool} is a tool.
(Every|Each) {anything} in the {building} is {colour}, (and|but) none is {size}.
No {animal} likes {weather} weather.
Not all {animal:pl} eat {fruit:pl}.
The {animal} ate the {fruit}, and the {animal} drank the {mass}.
A {size} {thing} and a {size} {toy} (were|lay) on the {furniture}.
The weather was {weather} in {month}, so the {neutral:pl} stayed in the {building}.
In {season} the {place} is {weather} and the {plant:pl} are {colour}.
The {building} is closed on {day}, but it opens in {month}.
The children play with {toy:pl}, {toy:pl} and {animal:pl}.
Some {neutral:pl} learn {subject}, others learn {subject}.
"""

WALKS = """
The {walk:inf} was (long|short|{size}|beautiful|strange).
The {neutral:pl} {walk:inf} (home|every day|together|in the {place}|on {day}).
The {neutral} wanted to {walk:inf} (with the {animal}|in the {place}|at home).
After the {walk:inf} the {neutral} was {mood}.
They {walk:inf} in {season}, but the {walk:inf} in {season} is better.
We {walk:inf} every {day}, and we like it.
I like the {walk:inf} of the {neutral}.
Do not {walk:inf} in the {building}!
You can {walk:inf} near the {place}, can you not?
"""

OPENINGS = """
I think the world could be better if (people|{neutral:pl}|children) (had|shared|needed) more {abstract}.
I think the world could be better if {neutral:pl} and {neutral:pl} (worked|lived) together.
I think that {abstract} is more important than {abstract}.
Once upon a time there was {a:neutral} who had {number} {animal:pl}.
Once upon a time there was {a:animal} that lived in {a:building}.
The best thing about {season} is the {weather} weather.
We hope that the {neutral} will bring {a:anything}.
My friend says that {neutral:pl} are always {mood}.
If I had {a:vehicle}, I would go to the {place} every {day}.
On the way home, we saw {number} {animal:pl} and {a:vehicle}.
Nobody knew why the {neutral} was {mood}.
Many years ago, people in the {place} believed in {abstract} and {abstract}.
People should not (fight|steal|lie), because {abstract} is important.
You never know what the {neutral} will {make:inf} next.
"""

GROUPS = {"thing": THINGS, "walk": WALKS, "opening": OPENINGS}
