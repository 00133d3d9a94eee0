-- What the filter needs once: the empty table of verdicts, the views that a chunk is cut from, exemplars and likelihoods.

-- step: captions
create or replace temp view captions as from all_captions;

-- step: verdicts
create or replace macro place_of(type) as list_position([{types}], type);
create or replace table verdicts (
    caption_id bigint, type varchar, candidate integer, attempt integer, place integer, said varchar, rule varchar
);

-- step: exemplars
create or replace table exemplar_texts as select distinct array_to_string(unarticled(fold(toks(text))), ' ') as said from exemplars;

-- step: likelihoods
create or replace table likelihoods as
select type, generator, quantile_cont(mean_logprob, {quantile}) as least_logprob from texts group by all;
