"""Sentence patterns without a he or she to resolve: things, animals, number agreement, negation, openings.

Syntax as in ``people_patterns.py``; ``{S=np:animal}`` is a noun phrase, singular or plural, with which
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

DAYS = """
The {plant} in the {place} fell in the storm, because the wind was (strong|cold).
The {plant:pl} smelled (sweet|strange) after the rain.
The {neutral} (read|opened|wrote) the (letter|book|newspaper) (slowly|at noon|without a word).
The {neutral} opened the (door|gate|window) (quietly|at midnight|with the key).
The {neutral:pl} closed the (doors|gates|windows) because of the (storm|rain|snow|wind).
The {neutral} stood (at the door|near the gate|behind the wall|between the {furniture} and the {furniture}).
The {neutral} watered the {plant:pl} and washed the {cloth:pl}.
The {animal} came (out of the {place}|through the snow|from the sea|over the wall|across the river).
The {neutral} heard the (bell|bells|song|songs|wind|storm) in the (dark|evening|morning).
The (actor|actors|king|kings|queen|queens|girls|waiters|knights) wore (golden|silver|{colour}) {cloth:pl}.
The {neutral} forgot the (name|names) of the (song|songs|actor|{animal}).
The {toy} flew (over|across) the (hill|river|field|wall).
The (river|rivers|lake) froze in the snow, and the {animal:pl} were (asleep|cold|hungry).
Please (do not|let us) (ask|call|wake) the {neutral} (now|again), it is a (secret|surprise).
Without the {neutral} the orchestra would sound (strange|sad|boring).
Because of the (rain|storm|snow), the journey to the {building} was (long|slow|boring).
Between the {building} and the {place} stood {a:plant}.
From the {neutral} we (learn|know) that {abstract} is (important|a secret|a miracle).
For the {neutral:pl} the {season} was (long|lonely|warm|too hot).
A letter from the {neutral} came in {month}.
The more we heard, the less we (trusted|believed) the {neutral}.
The {neutral} asked why the {thing} was (broken|wet|in the wrong room).
The museum bought {number} paintings (from|of) the {neutral}.
The {vehicle} hit the (wall|gate|door), and the {neutral} was (angry|still afraid).
The {neutral} flew to the island without the {thing}, where it was {weather}.
The {animal} with the {colour} saddle is (asleep|clever|funny|quiet|still hungry).
The (baby|babies) woke in the dark, and {name} cooked fish and {food:pl}.
The (loud|quiet|funny|high) {walk:inf} in the room was a (secret|surprise|good plan).
With a sharp {tool} the {neutral} cut the high {plant}.
The (kings|queens|knights|artists) (come|travel) with many servants.
It rained (all day|at night|in {month}), and the holiday was over.
Nobody (likes|knows|sees|hears|can dream of) a {neutral} (like|without|behind) the {neutral}.
The words of the {neutral} were (kind|true|clever|too loud), and the fans laughed.
The general sat near the fountain and made a clever plan.
The {neutral} is a good (actor|artist|knight|{neutral}), but not a (kind|clever) one.
"""

GROUPS = {"day": DAYS, "thing": THINGS, "walk": WALKS, "opening": OPENINGS}
