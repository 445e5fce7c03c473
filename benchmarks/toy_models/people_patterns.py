"""Sentence patterns about two people of opposite gender, whose pronouns have to be resolved.

Syntax (read by ``pattern.py``): ``{A}`` and ``{B}`` are two people of opposite gender, either of whom
may be the man; ``{A:him}`` is the pronoun that refers to A. ``{who}`` is a third party of any gender,
``{help}`` a verb of that class in the past tense (``:inf``, ``:pp`` for other forms), ``{a:fruit}`` a noun with
its article, ``{X=tool}`` a noun that ``{X}`` takes up again, and ``(one|the other)`` a choice.
The text before a pronoun always decides it, so that models that read from left to right can be asked too.
"""

DEEDS = """
{A} {help} {B}, (so|and) {who} {reward} {A:him}( {time}|)( for {A:his} courage|).
{A} {harm} {B}, (so|and) {who} {blame} {A:him}( in the {place}| {time}|).
{A} {harm} {B}, (so|and) {who} {comfort} {B:him}( in the {place}| {time}|).
{A} was {help:pp} by {B}, (so|and) {who} {reward} {B:him}( {time}|).
{A} was {harm:pp} by {B}, (so|and) {who} {comfort} {A:him}( with {a:food}| {time}|).
{A} was {harm:pp} by {B}, (so|and) {who} {blame} {B:him}( {time}| very much|).
{A} {help} {B} with {B:his} {job} and {B:he} {reward} {A:him} for {A:his} hard work.
{A} {help} {B} with {B:his} {job}, and {B:he} was {proud} (because|since) {A:he} had worked hard.
{A} {help} {B} with {B:his} {job}, so {who} {reward} {A:him}.
{A} {harm} {B}, and {who} told {A:him} to (stop|leave|go home).
{A} {harm} {B}, but {A:he} did not say sorry to {B:him}.
{A} {harm} {B} in the {place}, and (now|since then) {B:he} {fear} {A:him}.
{A} {help} {B} in the {place}, and (now|since then) {B:he} {like} {A:him}.
{B} was in danger in the {place}. {A} {help} {B:him}, and {who} {reward} {A:him}.
{A} did not {help:inf} {B}, so {who} {blame} {A:him}.
{A} refused to {help:inf} {B}, so {who} {help} {B:him} instead.
{A} never {harm} {B}, so nobody {blame} {A:him}.
{A} tried to {harm:inf} {B}, but {who} {help} {B:him}.
{A} wanted to {help:inf} {B}, but {B:he} did not trust {A:him}.
{A}, who had {help:pp} {B}, was {tired}, (so|and) {who} {reward} {A:him}.
{A}, who had {harm:pp} {B}, was {sad}, (but|and) {who} {blame} {A:him}.
{A}, whom {B} had {harm:pp}, was {sad}, (so|and) {who} {comfort} {A:him}.
{A}, whom {B} had {help:pp}, was {happy}, and {who} {reward} {B:him}.
{who} {blame} {A} because {A:he} had {harm:pp} {B}, and {who} {comfort} {B:him}.
{who} {reward} {A} because {A:he} had {help:pp} {B} and taken {B:him} to the {building}.
After {A} had {help:pp} {B}, {who} {reward} {A:him}( with {a:thing}|).
After {A} had {harm:pp} {B}, {who} {comfort} {B:him}( with {a:food}|).
Because {A} had {harm:pp} {B}, {who} {blame} {A:him}( {time}|).
Whenever {A} {harm} {B}, {who} {blame} {A:him} and {comfort} {B:him}.
{A} {harm} {B}. {Time} {who} {blame} {A:him}.
{A} {harm} {B}. It was a {weather} day. {who} {comfort} {B:him} with {a:fruit}.
{A} {help} {B}. The {building} was {size}. {who} {reward} {A:him} (today|yesterday|later).
{A} said that {B} had {harm:pp} {A:him}, so {who} {comfort} {A:him}.
{A} said that {B} had {harm:pp} {A:him}, so {who} {blame} {B:him}.
{A} {help} {B} against {who}, and {who} gave {A:him} {a:thing}.
{who} heard that {A} had {help:pp} {B}, and gave {A:him} {a:thing}.
{who} heard that {A} had {harm:pp} {B}, and (put {A:him} in jail|sent {A:him} home|stopped {A:him}).
"""

CONTESTS = """
{A} {beat} {B} in the {contest}, (so|and) {who} gave {A:him} the medal.
{A} {beat} {B} in the {contest}, (so|and) {who} {comfort} {B:him}.
{A} lost the {contest} against {B}, (so|and) {who} {comfort} {A:him}.
{A} lost the {contest} against {B}, (so|and) {who} gave {B:him} the (medal|prize|cup).
{A} was {good} than {B}, so {who} chose {A:him} for the {contest}.
{A} was {bad} than {B}, so {who} chose {B:him} for the {contest}.
{A} was {good} than {B}, so {who} had to train {B:him} (again|every day|longer).
{A} was not {good} than {B}, so {who} gave {B:him} the prize.
{A} arrived before {B}, so {who} greeted {A:him} first.
{A} arrived after {B}, so {who} greeted {B:him} first.
{A} arrived later than {B}, and {who} scolded {A:him} for being late.
{A} had more {fruit:pl} than {B}, so {who} asked {A:him} for one.
{A} had fewer {toy:pl} than {B}, so {who} gave {A:him} another {toy}.
{A} challenged {B} to a {contest}, and {B:he} {beat} {A:him} easily.
{A} won the {contest}, but {B} did not. {who} {reward} {A:him}.
{A} failed, but {B} won the {contest}. {who} {reward} {B:him}.
{A} won the {contest} against {B}, and {who} {comfort} {B:him}( with {a:food}|).
{A} won the {contest} against {B}, and {who} gave {A:him} (a medal|the prize|the cup).
{A} was {bad} than {B}, (so|and) {who} had to train {A:him} (again|every day|longer).
"""

GIFTS = """
{A} {give} {B} {a:thing}, and {B:he} thanked {A:him}( for the gift|).
{A} {give} {a:fruit} to {B}, and {B:he} thanked {A:him} with {B:his} whole heart.
{A} {take} {a:X=thing} from {B}, so {who} gave {B:him} another {X}.
{A} stole the {X=thing} of {B}, so {who} took it from {A:him} and brought it back to {B:him}.
{A} borrowed {a:X=tool} from {B}, and later {A:he} returned the {X} to {B:him}.
{A} lent {a:X=tool} to {B}, and later {B:he} returned the {X} to {A:him}.
{A} sold {a:vehicle} to {B}, so {B:he} paid {A:him} {number} coins.
{A} bought {a:animal} from {B}, so {A:he} paid {B:him} {number} coins.
{A} lost {A:his} {X=thing}, but {B} found the {X} and {who} gave it back to {A:him}.
{A} owed {B} money, so {who} told {A:him} to pay.
{A} cooked {a:food} for {B}, but {B:he} told {A:him} that it was too {hot}.
{A} baked {a:food} for {B}, and {who} carried it to {B:him}.
{A} made {a:toy} for {B}, and {who} saw {B:him} play with it.
{A} hid the {toy} of {B}, and {who} helped {B:him} to look for it.
{A} paid {B} for {a:thing}, but {B:he} never sent it to {A:him}.
{A} broke the {X=furniture} of {B}, so {who} told {A:him} to repair the {X}.
{A} promised {B} {a:instrument}, and {who} reminded {A:him} of the promise.
{A} stole the {X=thing} of {B}, so {who} brought it back to {B:him}.
{A} stole the {X=instrument} of {B}, and {who} gave {B:him} another {X}.
{A} wrote a letter to {B}, and {B:he} answered {A:him} (on {day}|in {month}|quickly).
"""

SPEECH = """
{A} asked {B} for help, but {B:he} did not hear {A:him}.
{A} asked {B} to wait, so {who} saw {B:him} wait (near|behind) the {building}.
{A} told {B} to wash {B:himself} before breakfast.
{A} promised {B} to behave {A:himself} in the {building}.
{A} told {B} that {who} wanted to see {B:him} (at once|at noon|on {day}).
{A} admitted to {B} that {who} had punished {A:him}.
{A} lied to {B}, so {B:he} does not believe {A:him} any more.
{A} taught {B} {subject}, and {B:he} learned a lot from {A:him}.
{A} studied {subject} with {B}, who taught {A:him} every {day}.
{A} studied {subject} with {B}, and {A:he} learned a lot from {B:him}.
{A} hired {B}, and paid {B:him} well.
{A} worked (for|in the {building} for) {B}, who paid {A:him} well.
{A} called {B}, but {B:he} did not answer {A:him}.
{A} invited {B} to the party, and {B:he} brought {A:him} {a:plant}.
{A} visited {B}, and {B:he} showed {A:him} the {place}.
{A} waited for {B} at the {building}, but {B:he} did not meet {A:him} there.
{A} chased {B} through the {place} until {who} stopped {A:him}.
{A} chased {B} through the {place}, but {B:he} {flee} and nobody found {B:him}.
{A} {flee} from {B}, and {B:he} could not find {A:him}.
{A} followed {B} to the {building}, but {B:he} did not notice {A:him}.
{A} blamed {B} for the mistake, but {who} defended {B:him}.
{A} {like} {B}, but {B:he} did not {like:inf} {A:him}.
{A} {fear} {B}, because {B:he} had {harm:pp} {A:him}( {time}|).
{A} {like} {B}, because {B:he} had {help:pp} {A:him}( {time}|).
{A} bought {A:himself} {a:cloth}, but {B} wanted to wear it, so {A:he} lent it to {B:him}.
{A} was {ill}, so {B} visited {A:him} and brought {A:him} {a:fruit}.
{A} visited {B} because {B:he} was {ill}, and {who} cooked {a:food} for {B:him}.
{A} could not find {A:his} {cloth}, so {B} lent {A:him} {B:his} own.
{A} cut {A:himself} with a {tool}, so {B} took {A:him} to the hospital.
{A} looked at {A:himself} in the mirror while {B} waited for {A:him}.
{A} hurt {A:himself}, and {B}, who saw it, {comfort} {A:him}.
{A} and {B} went to the {building}. {A:name} was {ill}, so {who} sent {A:him} home.
{A} and {B} went to the {building}. {B:name} was {ill}, so {who} sent {B:him} home.
{A} saw that {B} was {tired}, so {A:he} carried the {X=thing} for {B:him}.
{A} could not swim, so {B} pulled {A:him} out of the (river|lake).
{A} sang a song, and {B} listened to {A:him}.
{A} did not know the way, so {B} showed {A:him} the map of the {place}.
"""

ERRANDS = """
{A} {harm} {B}, so {who} took {B:him} to the (doctor|hospital)( {time}|).
{A} {help} {B}, because {who} had {harm:pp} {B:him}( in the {place}|).
{A} did not {help:inf} {B}, although {who} had {harm:pp} {B:him}.
{A} found {B} in the {place}, and {who} brought {B:him} home.
{A} wrote a letter to {B}, but {who} did not give {B:him} the letter.
{A} sent {B} to the {building}, and {who} met {B:him} there( {time}| by accident|).
{A} spoke (slowly|loudly|clearly), so that {B} could understand {A:him}.
{A} looked for {B}, but {who} had hidden {B:him} (in|behind) the {building}.
{A} introduced {B} to {who}, who liked {B:him} at once.
{A} forgot {B} at the {building}, so {who} had to take {B:him} home.
{A} {like} {B}, although {who} did not trust {B:him}.
{A} recommended {B} for the {job}, so {who} hired {B:him} (at once|on {day}).
{A} fired {B}, but {who} gave {B:him} new work.
{A} left {B} alone in the {place}, and {who} found {B:him} there.
{A} showed {B} the way, so {who} did not have to wait for {B:him}.
{A} brought {B} to the {building} before {who} could see {B:him} there.
"""

# Here the person meant is the one named last: the easy cases, left out of evaluations.
NEAR = """
{A} lost {A:his} {thing}, and {B} lost {B:his} {cloth}.
{A} washed {A:himself}, and {B} cut {B:himself} with a {tool}.
{A} said that {A:he} was {tired}, but {B} said that {B:he} was {happy}.
{A} likes {A:his} {animal}, and {B} likes {B:his} {plant}.
{A} cleaned {A:his} {cloth} while {B} cleaned {B:his} {furniture}.
{A} looked at {A:himself} in the mirror, and {B} looked at {B:himself} in the (lake|window).
When {A} came home, {A:he} saw {B} and {B:his} {animal}.
{A} asked {B} whether {B:he} had lost {B:his} {thing}.
{A} wrote about {A:himself} in {A:his} book, and {B} read it.
The {animal} saw {A} and followed {A:him} home, but {B} was not there.
The {neutral} met {A} and gave {A:him} {a:thing}, but {B} came later.
{who} {reward} {A} and thanked {A:him}, while {B} waited.
{who} saw {A} and greeted {A:him}. Then {who} saw {B} and greeted {B:him}.
{A} sat at the {furniture}. {A:he} was {happy}. {B} stood in the {place}. {B:he} was {sad}.
The {neutral} knew {A} and liked {A:him}, and the {neutral} knew {B} and liked {B:him}.
"""

GROUPS = {"errand": ERRANDS, "deed": DEEDS, "contest": CONTESTS, "gift": GIFTS, "speech": SPEECH}
